const source = new EventSource(`/events?topics=${topics.join(",")}`);
source.onmessage = (event) => show(event.data);
