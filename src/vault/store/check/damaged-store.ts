// What is thrown when the store's file is not as LMDB writes it.

/** The file is not as LMDB writes it; the message says where. */
export class DamagedStore extends Error {
  override readonly name = "DamagedStore";
}
