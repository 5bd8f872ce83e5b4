import * as React from "react";

import { createUseStream } from "./hook.mjs";

/** Hook that reads one stream at a time; the stream ends with its component. */
export const useStream = createUseStream(React);
