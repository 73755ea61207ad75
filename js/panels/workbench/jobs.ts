/** The slim strips over the lower corner of the plot: jobs under way, each with a button to cancel it, and what came of those started here. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import type { EndedJob, JobState } from "../../core/protocol.js";

const SHOWN = 3;

/** For people: 12 s, 3 min, 1.5 h. */
export function spokenTime(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * How far a job is: 512 of 10,000, 204 a second, 46 s left. Before the first step, and where it counts no samples (it
 * has no rate then): what it is doing.
 */
export function progressSentence(job: JobState, formatCount: (n: number) => string): string {
  if (job.state === "cancelling") return "cancelling after this step";
  if (job.total === 0 || job.done === 0) return job.sentence;
  const parts = job.rate > 0 ? [`${formatCount(job.done)} of ${formatCount(job.total)}`] : [job.sentence];
  if (job.rate > 0) parts.push(`${job.rate < 10 ? job.rate.toFixed(1) : formatCount(Math.round(job.rate))} a second`);
  if (job.leftS !== null) parts.push(`${spokenTime(job.leftS)} left`);
  return parts.join(", ");
}

export function jobStrip(hub: HubExports, jobs: readonly JobState[], cancel: (id: string) => void): TemplateResult {
  const { html, nothing, repeat } = hub.lit;
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
  return html`${repeat(jobs.slice(0, SHOWN), (job) => job.id, row)}${more > 0 ? html`<div class="di-job di-job-more">and ${more} more</div>` : nothing}`;
}

export interface EndedActions {
  makeMap(ended: EndedJob): void;
  show(ended: EndedJob): void;
  dismiss(id: string): void;
}

/** What came of jobs, until it is put away: an error with what to do about it, or vectors that have no map yet. */
export function endedStrip(
  hub: HubExports,
  jobs: readonly EndedJob[],
  { makeMap, show, dismiss }: EndedActions,
): TemplateResult {
  const { html, nothing } = hub.lit;
  const row = (job: EndedJob) => html`<div class="di-job di-ended" data-job=${job.id} data-state=${job.state}>
    <span class="di-ended-said" role=${job.state === "failed" ? "alert" : nothing} aria-live="polite"
      >${job.state === "failed" ? html`<strong>${job.verb} failed.</strong> ` : nothing}${job.message}${job.hint ? ` ${job.hint}` : ""}</span
    >
    ${
      job.embedding === null
        ? nothing
        : html`<button type="button" class="dataide-button di-job-cancel" @click=${() => makeMap(job)}>Make a map</button>`
    }
    ${
      job.show === undefined
        ? nothing
        : html`<button type="button" class="dataide-button di-job-cancel" @click=${() => show(job)}>Show</button>`
    }
    <button type="button" class="di-x" aria-label="Dismiss: ${job.verb}" title="Dismiss" @click=${() => dismiss(job.id)}>×</button>
  </div>`;
  return html`${jobs.map(row)}`;
}
