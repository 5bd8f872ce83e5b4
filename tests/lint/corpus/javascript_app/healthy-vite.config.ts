// expected: nothing
import { defineConfig } from "vite";

export default defineConfig({
  server: { proxy: { "/v1/chat/completions": "http://localhost:8000", "^/api": { target: "http://localhost:3001" } } },
});
