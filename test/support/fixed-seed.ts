// Runs before each test file: fast-check draws from the seed of the run, too.

import { configureGlobal } from "fast-check";
import { SEED } from "./seed.ts";

configureGlobal({ seed: SEED });
