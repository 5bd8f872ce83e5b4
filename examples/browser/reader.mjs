// Reader of the npm package undam-stream. server.py serves it together with the pages.
export * from "../../packages/undam-stream/src/index.mjs";
