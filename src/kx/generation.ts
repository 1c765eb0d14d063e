// The generation of a KM with several members: told in the TLS hello, so that a former member cannot push the active one aside.

const NAME = /^g(\d{1,15})\.generation\.qkm$/;

/** The server name with which a member dials; undefined for a KM that is one machine. */
export const nameOfGeneration = (generation: number): string | undefined =>
  generation === 0 ? undefined : `g${generation}.generation.qkm`;

/** 0 for a peer that is one machine. */
export const generationOf = (serverName: string): number => Number(NAME.exec(serverName)?.[1] ?? 0);
