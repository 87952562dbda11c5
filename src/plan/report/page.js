"use strict";
const changes = [...document.querySelectorAll(".change")];
const texts = changes.map((change) => change.textContent.toLowerCase());
const search = document.getElementById("search");
const found = document.getElementById("found");
function look() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  changes.forEach((change, at) => {
    const fits = words.every((word) => texts[at].includes(word));
    change.hidden = !fits;
    shown += fits ? 1 : 0;
  });
  found.textContent = `${shown} of ${changes.length}`;
}
search.addEventListener("input", look);
// A link may bring its search along: plan.html#q=node.n
const asked = new URLSearchParams(location.hash.slice(1)).get("q");
if (asked) {
  search.value = asked;
  look();
}
