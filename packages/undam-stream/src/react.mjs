import * as React from "react";

import { createUseStream } from "./hook.mjs";

/** Hook that reads one stream at a time; the stream ends when the component unmounts. */
export const useStream = createUseStream(React);
