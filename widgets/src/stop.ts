// Stop, from the browser. While a cell runs, most kernels do not read the widget's messages, so there
// are two ways, and an honest answer where neither works:
//
// - the kernel's interrupt, as the toolbar's Stop button sends it, where the front end hands us the
//   kernel and the loop has said that an interrupt ends it at a step boundary;
// - otherwise a message, for loops in a background thread, asynchronous cells, and kernels that read
//   messages in a thread of their own. If no answer comes, the kernel is not reading: say what to do.

export type StopState = "ready" | "asking" | "stopping" | "unheard";

export interface StopWays {
  /** Interrupts the kernel; null where the front end gives no access to it. */
  interrupt: (() => Promise<void>) | null;
  /** Sends a message to Python, which answers `heard()` if it is listening. */
  send: () => void;
  changed: (state: StopState) => void;
  /** As window.setTimeout; returns what cancels it. */
  after: (ms: number, then: () => void) => () => void;
}

export const ANSWER_WITHIN_MS = 1500;

export class Stop {
  #state: StopState = "ready";
  #cancel: (() => void) | null = null;

  readonly #ways: StopWays;

  constructor(ways: StopWays) {
    this.#ways = ways;
  }

  /** The button was pressed. */
  async press(): Promise<void> {
    if (this.#state === "asking" || this.#state === "stopping") return;
    this.#set("asking");
    if (this.#ways.interrupt !== null) {
      try {
        await this.#ways.interrupt();
        this.#set("stopping");
        return;
      } catch (error) {
        console.warn("tensorlab: the kernel could not be interrupted, sending a message", error);
      }
    }
    this.#ways.send();
    this.#cancel = this.#ways.after(ANSWER_WITHIN_MS, () => this.#set("unheard"));
  }

  /** Python has answered: the loop ends after this step. */
  heard(): void {
    this.dispose();
    this.#set("stopping");
  }

  dispose(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #set(state: StopState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#ways.changed(state);
  }
}

export const STOP_TEXT: Record<StopState, string> = {
  ready: "",
  asking: "Asking the kernel to stop…",
  stopping: "Stopping after this step…",
  unheard:
    "The kernel is busy with this cell and can’t hear this button. Use the kernel’s own Stop (■ in the toolbar, or press I twice): the loop still ends after the current step.",
};
