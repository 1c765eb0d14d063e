// The proactive mode of a key manager of the tests: keeps what it was asked, and answers when the test says so.

import type { Answer } from "../../src/keys/ports/keys.ts";
import type {
  AppLine,
  SessionAnswer,
  SessionDoor,
  SessionKeysRequest,
  SessionRequest,
} from "../../src/keys/ports/sessions.ts";

/** A request that the test answers. */
export interface HeldRequest<Request, Answered> {
  readonly request: Request;
  readonly answer: Answered;
  givenUp: boolean;
}

export class FakeSessions implements SessionDoor {
  /** Connections that are open, the newest last. */
  readonly lines: AppLine[] = [];
  readonly creations: HeldRequest<SessionRequest, SessionAnswer>[] = [];
  readonly wishes: HeldRequest<SessionKeysRequest, Answer>[] = [];
  /** What happens to a request; kept, unless a test says otherwise. */
  meetCreation: (request: SessionRequest, answer: SessionAnswer) => void = () => {};
  meetWish: (request: SessionKeysRequest, answer: Answer) => void = () => {};

  attach(line: AppLine): () => void {
    this.lines.push(line);
    return () => void this.lines.splice(this.lines.indexOf(line), 1);
  }

  createSession(request: SessionRequest, answer: SessionAnswer): () => void {
    const held = { request, answer, givenUp: false };
    this.creations.push(held);
    this.meetCreation(request, answer);
    return () => {
      held.givenUp = true;
    };
  }

  sessionKeys(request: SessionKeysRequest, answer: Answer): () => void {
    const held = { request, answer, givenUp: false };
    this.wishes.push(held);
    this.meetWish(request, answer);
    return () => {
      held.givenUp = true;
    };
  }

  /** The newest connection. */
  get line(): AppLine {
    const line = this.lines.at(-1);
    if (line === undefined) throw new Error("no application is connected");
    return line;
  }
}
