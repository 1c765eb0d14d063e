// The end of a turn of the event loop: one Immediate for all who wait for it.

const jobs: (() => void)[] = [];

/**
 * Calls `job` when all sockets of this turn of the event loop are read, in the order of the calls; one that is asked for by
 * another job still belongs to this turn. A job that throws keeps no other from its turn.
 */
export function atEndOfTurn(job: () => void): void {
  if (jobs.push(job) === 1) setImmediate(run);
}

function run(): void {
  let done = 0;
  try {
    for (let job = jobs[done]; job !== undefined; job = jobs[done]) {
      done++;
      job();
    }
  } finally {
    jobs.splice(0, done);
    if (jobs.length > 0) setImmediate(run);
  }
}
