// Frames and messages written from the tables of Q.4161 and its appendix I alone: bytes by hand, none of our codec.

export interface HandFrame {
  readonly version: number;
  readonly messageId: number;
  readonly code: number;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Version 1, MessageID, CommandCode, Length, payload: a JSON value, or text as it is. */
export function handFrame(code: number, messageId: number, payload: object | string): Buffer {
  const body = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload), "utf8");
  const header = Buffer.alloc(10);
  header.writeUInt16BE(1, 0);
  header.writeUInt32BE(messageId, 2);
  header.writeUInt16BE(code, 6);
  header.writeUInt16BE(body.length, 8);
  return Buffer.concat([header, body]);
}

/** All whole frames at the front of `bytes`, and how many bytes they take. */
export function handParse(bytes: Buffer): { readonly frames: readonly HandFrame[]; readonly length: number } {
  const frames: HandFrame[] = [];
  let at = 0;
  while (bytes.length >= at + 10 && bytes.length >= at + 10 + bytes.readUInt16BE(at + 8)) {
    const end = at + 10 + bytes.readUInt16BE(at + 8);
    frames.push({
      version: bytes.readUInt16BE(at),
      messageId: bytes.readUInt32BE(at + 2),
      code: bytes.readUInt16BE(at + 6),
      json: JSON.parse(bytes.subarray(at + 10, end).toString("utf8")) as HandFrame["json"],
    });
    at = end;
  }
  return { frames, length: at };
}
