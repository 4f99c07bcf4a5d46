/** The nodes of a graph in order: a linked list, so that inserting and removing cost the same in any place. */
import type { Node } from './node.ts';

export class NodeList implements Iterable<Node> {
  #first: Node | undefined;
  #last: Node | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): Node | undefined {
    return this.#first;
  }

  get last(): Node | undefined {
    return this.#last;
  }

  /** The nodes as they are when iteration begins; the graph may be edited meanwhile. */
  [Symbol.iterator](): Iterator<Node> {
    return this.toArray()[Symbol.iterator]();
  }

  toArray(): Node[] {
    const nodes: Node[] = [];
    for (let node = this.#first; node !== undefined; node = node.next) nodes.push(node);
    return nodes;
  }

  /** Called by Graph. Puts `node` before `next`, or last. */
  insert(node: Node, next: Node | undefined): void {
    const previous = next === undefined ? this.#last : next.previous;
    node.previous = previous;
    node.next = next;
    if (previous === undefined) this.#first = node;
    else previous.next = node;
    if (next === undefined) this.#last = node;
    else next.previous = node;
    this.#size++;
  }

  /** Called by Graph. */
  remove(node: Node): void {
    if (node.previous === undefined) this.#first = node.next;
    else node.previous.next = node.next;
    if (node.next === undefined) this.#last = node.previous;
    else node.next.previous = node.previous;
    node.previous = undefined;
    node.next = undefined;
    this.#size--;
  }
}
