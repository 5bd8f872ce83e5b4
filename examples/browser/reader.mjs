// The reader of the npm package undam-stream, which server.py serves together with the pages.
export * from "../../packages/undam-stream/src/index.mjs";
