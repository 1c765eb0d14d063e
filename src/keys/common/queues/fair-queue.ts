// A queue in which applications take turns: each app's requests in order, the apps one after the other.

/** Waiting items by application: each application's in order, the applications in turn. */
export class FairQueue<Item> {
  /** Apps in the order of their next turn; each has at least one item. */
  readonly #queues = new Map<string, Item[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(app: string, item: Item): void {
    const queue = this.#queues.get(app);
    if (queue) queue.push(item);
    else this.#queues.set(app, [item]);
    this.#size++;
  }

  /** The item whose turn it is. */
  head(): Item | undefined {
    return this.#queues.values().next().value?.[0];
  }

  /** Removes the head; its app's next item waits until all other apps have had a turn. */
  shift(): void {
    const first = this.#queues.entries().next().value;
    if (first === undefined) return;
    const [app, queue] = first;
    queue.shift();
    this.#size--;
    this.#queues.delete(app);
    if (queue.length > 0) this.#queues.set(app, queue);
  }

  /** Whatever would be served before a new item of `app`. */
  ahead(app: string): Item[] {
    const own = this.#queues.get(app)?.length ?? 0;
    const items: Item[] = [];
    let turns = own + 1;
    for (const [other, queue] of this.#queues) {
      items.push(...queue.slice(0, turns));
      // Whose turn comes after this app's has one turn less before it.
      if (other === app) turns = own;
    }
    return items;
  }

  /** Removes one item wherever it waits; false when it does not wait. */
  remove(app: string, item: Item): boolean {
    const queue = this.#queues.get(app);
    const index = queue?.indexOf(item) ?? -1;
    if (queue === undefined || index < 0) return false;
    queue.splice(index, 1);
    this.#size--;
    if (queue.length === 0) this.#queues.delete(app);
    return true;
  }

  *[Symbol.iterator](): Iterator<Item> {
    for (const queue of this.#queues.values()) yield* queue;
  }
}
