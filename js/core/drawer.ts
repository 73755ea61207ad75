/** An inspector inside a list, for notebooks that show no other: Enter must never do nothing. */
import type { Panel } from "./panel.js";

/**
 * Opens over `panel` what is inspected there, while no other inspector is in sight.
 *
 * `scroller` has the keyboard again once it is closed.
 */
export function mountDrawer<Config>(
  { hub, root, panelId, embedded, signal }: Panel<Config>,
  scroller: HTMLElement,
): void {
  if (embedded) return;
  let open: AbortController | null = null;
  let before: number | null = null;

  const close = (): void => {
    hub.store.inspected.value = null;
    scroller.focus({ preventScroll: true });
  };
  const show = (): void => {
    const ending = new AbortController();
    open = ending;
    const place = document.createElement("div");
    place.className = "dataide-inspector dataide-drawer";
    root.append(place);
    ending.signal.addEventListener("abort", () => place.remove());
    hub.inspector(place, { panelId: `${panelId}-inspector`, close, signal: ending.signal });
    place.focus({ preventScroll: true });
  };
  hub.dom.effectUntil(signal, () => {
    const inspected = hub.store.inspected.value;
    const wanted = inspected !== null && hub.store.inspectors.value === 0;
    // An inspector that was scrolled out of sight is no reason to cover the list: only who inspects something new asks for it.
    const asked = inspected !== before;
    before = inspected;
    // Several panels may be on the page: the one with the keyboard or the pointer opens it.
    const mine = root.contains(document.activeElement) || root.matches(":hover");
    if (wanted && asked && open === null && mine) show();
    if (!wanted && open !== null) {
      open.abort();
      open = null;
    }
  });
  signal.addEventListener("abort", () => open?.abort());
}
