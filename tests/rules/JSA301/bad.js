for (const topic of topics) {
  const source = new EventSource(`/events?topic=${topic}`);
  source.onmessage = (event) => show(topic, event.data);
}
