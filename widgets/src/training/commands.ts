// Pause, resume and the learning rate: messages that a busy kernel may not read before its cell ends.
// Stop has a second way, the kernel's interrupt: see ../stop.ts.

export const ANSWER_WITHIN_MS = 1500;
export const BUSY =
  'The kernel is busy with this cell and can’t hear this yet. Stop works: it keeps everything, and resume() goes on. A training begun with mode="thread", or with await and mode="async", hears this at once.';
export const BUSY_LOOP =
  "The kernel is busy with this cell and can’t hear this yet. Stop works, and keeps everything. With “async for” over the steps, or in a thread, this is heard at once.";

export interface CommandWays {
  call: (method: string, args: Record<string, unknown>) => Promise<unknown>;
  say: (words: string, bad: boolean) => void;
  /** What to say when no answer comes. */
  busy: () => string;
  after: (ms: number, then: () => void) => () => void;
}

export class Commands {
  #waiting = 0;

  readonly #ways: CommandWays;

  constructor(ways: CommandWays) {
    this.#ways = ways;
  }

  /** Ask Python; says so if it does not hear. Resolves to whether it heard. */
  async ask(method: string, args: Record<string, unknown> = {}): Promise<boolean> {
    this.#waiting++;
    const cancel = this.#ways.after(ANSWER_WITHIN_MS, () =>
      this.#ways.say(this.#ways.busy(), false),
    );
    try {
      await this.#ways.call(method, args);
      this.#waiting--;
      if (this.#waiting === 0) this.#ways.say("", false);
      return true;
    } catch (error) {
      this.#waiting--;
      this.#ways.say((error as Error).message, true);
      return false;
    } finally {
      cancel();
    }
  }
}
