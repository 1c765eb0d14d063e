// The boards that there are.

import { host } from "./host.ts";

export const BOARDS = { host } as const;
