/** An element of a class, in the document or not yet. */
export function element(className: string, parent?: HTMLElement, tag = "div"): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  parent?.append(made);
  return made;
}
