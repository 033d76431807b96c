// One sentence about a file that can't be used.

import { textOf } from "../page/problem_texts.js";

export const problemOf = (problem) => textOf(typeof problem === "string" ? { code: problem } : problem).join(". ");
