// Browsers start no workers from plain files, and the search runs in one. Opened from a folder, the
// site runs it in a hidden frame instead; on a server this file does nothing.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.ready = new Promise(resolve => frame.addEventListener("load", () => resolve(frame.contentWindow)));
      this.ready.then(inside => {
        inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
      });
      frame.srcdoc = `<script src="${new URL(url, location)}"><\/script>`;
      document.body.append(frame);
    }

    postMessage(data) {
      this.ready.then(inside => inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
