// Words for a shell.

/** In quotes where a shell would otherwise see more than the word. */
export const quoted = (word: string): string =>
  /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
