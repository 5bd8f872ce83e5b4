const source = new EventSource("/events");
source.onmessage = (event) => show(event.data);
