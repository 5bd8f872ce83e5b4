// expected: JSA103 JSA401
import type { NextConfig } from "next";

const nextConfig: NextConfig = {
  reactStrictMode: true,
  rewrites: async () => [
    { source: "/api/chat/stream", destination: `${process.env.API_URL}/chat/stream` },
  ],
};
export default nextConfig;
