vcl 4.1;

backend vllm {
    .host = "vllm";
    .port = "8000";
}
