/** The slim strip of jobs under the top bar: what each does, how far it is, and a button to cancel it. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import type { JobState } from "../../core/protocol.js";

const SHOWN = 3;

/** For people: 12 s, 3 min, 1.5 h. */
export function spokenTime(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** How far a job is: 512 of 10,000, 204 a second, 46 s left. Before the first step: what it is doing. */
export function progressSentence(job: JobState, formatCount: (n: number) => string): string {
  if (job.state === "cancelling") return "cancelling after this step";
  if (job.total === 0 || job.done === 0) return job.sentence;
  const parts = [`${formatCount(job.done)} of ${formatCount(job.total)}`];
  if (job.rate > 0) parts.push(`${job.rate < 10 ? job.rate.toFixed(1) : formatCount(Math.round(job.rate))} a second`);
  if (job.leftS !== null) parts.push(`${spokenTime(job.leftS)} left`);
  return parts.join(", ");
}

export function jobStrip(hub: HubExports, jobs: readonly JobState[], cancel: (id: string) => void): TemplateResult {
  const { html, nothing } = hub.lit;
  const known = (job: JobState) => job.total > 0 && job.done > 0;
  const row = (job: JobState) => html`<div class="di-job" data-job=${job.id} data-state=${job.state}>
    <span class="di-job-verb" title=${job.verb}>${job.verb}</span>
    ${
      known(job)
        ? html`<progress class="di-job-bar" max=${job.total} value=${job.done} aria-label=${job.verb}></progress>`
        : html`<progress class="di-job-bar" aria-label=${job.verb}></progress>`
    }
    <span class="di-job-said">${progressSentence(job, hub.dom.formatCount)}</span>
    <button
      type="button"
      class="dataide-button di-job-cancel"
      aria-label="Cancel: ${job.verb}"
      title="Stop after the step under way; what is done stays"
      ?disabled=${job.state === "cancelling"}
      @click=${() => cancel(job.id)}
    >
      Cancel
    </button>
  </div>`;
  const more = jobs.length - SHOWN;
  return html`${jobs.slice(0, SHOWN).map(row)}${more > 0 ? html`<div class="di-job di-job-more">and ${more} more</div>` : nothing}`;
}
