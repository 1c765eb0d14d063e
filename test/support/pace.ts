// A pace by the turns of the real event loop, without a clock: what is done in a turn depends on nothing but its amount.

import { Pace } from "../../src/core/pace.ts";

export const turnPace = (): Pace => new Pace({ turn: (then) => void setImmediate(then) });
