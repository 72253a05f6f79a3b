// The key "/" leads to the search, as long as nobody is typing. All else is HTML, and htmx where a part comes anew.
document.addEventListener("keydown", function (event) {
  const field = document.getElementById("search");
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});
