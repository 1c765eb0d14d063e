// A peer that tells a hostile state whenever it is connected.
//
//   node lying-state.ts '{"config": ".../node.toml", "state": "the most runs that are read, and more"}'

import { loadConfig } from "../../../src/config/read.ts";
import { HOSTILE_STATES } from "../support/hostile-states.ts";
import { startLiar, tells } from "../support/lying-peer.ts";

const { config, state } = JSON.parse(process.argv[2] ?? "{}") as {
  config: string;
  state: keyof typeof HOSTILE_STATES;
};

await startLiar(loadConfig(config), {
  connected: (connection) => {
    tells(connection, HOSTILE_STATES[state]);
    process.stdout.write("at work\n");
  },
});
process.stdin.on("end", () => process.exit()).resume();
