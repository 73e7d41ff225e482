// What pages do beyond links and forms: ask in a dialog, copy, and say whether they are up to date.
"use strict";
(() => {
  // A person may have opened a part of the page, or is writing: what comes anew leaves that as it is.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name === "open" && (node.tagName === "DETAILS" || node.tagName === "DIALOG"));
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (node) =>
    !(node.nodeType === Node.ELEMENT_NODE && node.matches("form.filters"));

  const live = document.getElementById("live");
  const say = (state, text) => {
    if (!live || live.dataset.state === state) return;
    live.dataset.state = state;
    document.getElementById("live-text").textContent = text;
  };
  // Whoever is not signed in any more gets the page to sign in instead of this one, and comes back from there.
  // Whoever is on the way to another page already, by signing out say, is left alone.
  let isLeaving = false;
  window.addEventListener("beforeunload", () => { isLeaving = true; });
  const loadAgain = () => { if (!isLeaving) location.reload(); };
  const lookWhetherSignedIn = async () => {
    const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => undefined);
    if (answer && answer.type === "opaqueredirect") loadAgain();
  };
  document.body.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) loadAgain();
  });
  document.body.addEventListener("htmx:sseOpen", () => say("open", "live"));
  document.body.addEventListener("htmx:sseError", () => {
    say("lost", "not connected, trying again");
    lookWhetherSignedIn();
  });
  document.body.addEventListener("htmx:sendError", () => say("lost", "not connected, trying again"));
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) say("open", "live");
  });

  // The badge of open notes stands outside of what a page asks for again.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const fresh = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const link = document.querySelector('nav a[href="/ui/attention"]');
    const other = fresh.querySelector('nav a[href="/ui/attention"]');
    if (link && other && link.innerHTML !== other.innerHTML) link.innerHTML = other.innerHTML;
  });

  const dialog = document.getElementById("dialog");
  const ask = async (link) => {
    let answer;
    try {
      answer = await fetch(link.href, { credentials: "same-origin" });
    } catch {
      location.assign(link.href);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const question = page.getElementById("question");
    if (!answer.ok || !question) {
      location.assign(link.href);
      return;
    }
    dialog.replaceChildren(document.importNode(question, true));
    dialog.setAttribute("aria-label", question.querySelector("h1").textContent);
    dialog.showModal();
  };
  document.addEventListener("click", (event) => {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
    const asked = event.target.closest("a[data-ask]");
    if (asked && plain && dialog.showModal) {
      event.preventDefault();
      ask(asked);
      return;
    }
    if (event.target.closest("dialog a[data-close]")) {
      event.preventDefault();
      dialog.close();
      return;
    }
    const copy = event.target.closest("button[data-copy]");
    if (copy) {
      const text = copy.previousElementSibling.textContent;
      navigator.clipboard.writeText(text).then(
        () => { copy.textContent = "Copied"; },
        () => { copy.textContent = "Select it, and copy it by hand"; },
      );
    }
  });
  // Pressing twice does nothing twice.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "yes";
  });
  // Back on a page that the browser kept as it was.
  window.addEventListener("pageshow", (event) => {
    isLeaving = false;
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    if (dialog.open) dialog.close();
  });
})();
