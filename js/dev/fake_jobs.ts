/** Starting jobs over the made-up session: what the form offers, and jobs that begin and go nowhere, until a test moves them. */
import type { Answer, Ask, StartKind } from "../core/protocol.js";
import { Refusal } from "./fake_predicate.js";
import type { FakeSession } from "./fake_session.js";

const MODELS = ["auto", "resnet18", "resnet50", "convnext_tiny"];
const choices = (...values: string[]) => values.map((value) => ({ value, text: value }));

const KINDS: StartKind[] = [
  {
    kind: "embedding",
    title: "Embedding",
    about: "vectors, to find what looks alike",
    fields: [
      { name: "model", label: "Model", kind: "text", value: "auto", choices: choices(...MODELS), hint: "auto, or of torchvision" }, // biome-ignore format: one line each
      {
        name: "name",
        label: "Name",
        kind: "text",
        value: "",
        choices: choices("auto"),
        hint: "empty: the model's name",
      },
    ],
  },
  {
    kind: "map",
    title: "Map",
    about: "a plane where what is alike lies together",
    fields: [
      { name: "embedding", label: "Of", kind: "choice", value: "auto", choices: choices("auto", "<b>mine</b>"), hint: null }, // biome-ignore format: one line each
      { name: "method", label: "Method", kind: "choice", value: "umap", choices: choices("umap", "pca"), hint: null },
    ],
  },
  { kind: "attributes", title: "Attributes", about: "blur, noise, colours and more as columns", fields: [] },
  {
    kind: "learned",
    title: "Learned embedding",
    about: "vectors of a small network trained here",
    fields: [
      { name: "label", label: "Label", kind: "choice", value: "label", choices: choices("", "label", "street"), hint: null }, // biome-ignore format: one line each
      { name: "minutes", label: "Minutes", kind: "number", value: "2", choices: [], hint: "of training" },
    ],
  },
  {
    kind: "issues",
    title: "Find issues",
    about: "wrong labels, duplicates, outliers …",
    fields: [
      { name: "kinds", label: "Look for", kind: "choice", value: "", choices: choices("", "label", "quality"), hint: null }, // biome-ignore format: one line each
    ],
  },
];

export function startable(session: FakeSession): Answer<"startable"> {
  const { selection, filter } = session.state();
  const targets: Answer<"startable">["targets"] = [{ target: "all", count: session.samples.length }];
  if (filter.clauses.length > 0) targets.push({ target: "filter", count: filter.count });
  if (selection.count > 0) targets.push({ target: "selection", count: selection.count });
  const empty = session.samples.length === 0;
  return {
    targets,
    kinds: empty ? [] : KINDS,
    suggested: empty ? null : "embedding",
    torch: true,
    note: empty ? "There are no samples yet." : null,
  };
}

export function startJob(session: FakeSession, ask: Ask<"startJob">): Answer<"startJob"> {
  const { model } = ask.options;
  if (model !== undefined && !/^[\w.\-/]+$/.test(model)) {
    throw new Refusal("wrong_field", `'${model}' is no name of a model.`, "Did you mean auto?", "model");
  }
  const id = `job-${ask.uuid}`;
  if (!session.jobs.some((job) => job.id === id)) {
    const title = KINDS.find(({ kind }) => kind === ask.kind)?.title ?? ask.kind;
    const total = session.samples.length;
    session.jobs.push({
      id,
      verb: title,
      sentence: "starting",
      done: 0,
      total,
      rate: 0,
      leftS: null,
      state: "running",
    });
  }
  return { job: id };
}
