// Search runs in a worker, and browsers start no worker from a file. Where the site is opened as files, the worker's script runs in a
// hidden frame instead. The theme knows this stand-in by its name, and would else load one from the network.
if (location.protocol === "file:") {
  const load = (inside, url) => new Promise((resolve, reject) => {
    const script = Object.assign(inside.document.createElement("script"), { src: url, onload: resolve, onerror: reject });
    inside.document.body.appendChild(script);
  });

  window.IFrameWorker = class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = Object.assign(document.createElement("iframe"), { hidden: true, srcdoc: "<!doctype html>" });
      this.ready = new Promise((resolve) => frame.addEventListener("load", resolve, { once: true })).then(async () => {
        const inside = frame.contentWindow;
        inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        inside.importScripts = (...urls) => urls.reduce((done, each) => done.then(() => load(inside, each)), Promise.resolve());
        await load(inside, url);
        return inside;
      });
      document.documentElement.appendChild(frame);
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
  window.Worker = window.IFrameWorker;
}
