// Live rows: when the relay reports a change, the page is fetched again, and its live part is replaced by the new one. What the
// server wrote as text stays text. Without script the page shows the same after a reload.
"use strict";
(() => {
  const part = () => document.getElementById("live");
  if (!part() || !window.EventSource) return;
  let running = false, again = false;
  // A person who marks messages or writes in a form is not interrupted.
  const inUse = () => part().querySelector("input:checked") || part().contains(document.activeElement);
  const renew = async () => {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
        if (fresh && !inUse()) part().replaceWith(document.adoptNode(fresh));
      }
    } catch { /* The next event tries again. */ }
    running = false;
    if (again) { again = false; setTimeout(renew, 1000); }
  };
  const events = new EventSource("/api/v1/events");
  let first = true;
  events.addEventListener("status", () => { if (first) first = false; else renew(); });
  addEventListener("pagehide", () => events.close());
})();
