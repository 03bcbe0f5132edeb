// In a part of a page that renews itself, what is being typed or chosen stays, and so does the caret in it. Texts of
// several lines and files are kept by `hx-preserve`.

const FIELDS = "input[id]:is([type=search], :not([type])), select[id]";
let kept; // what is to be as it was, after a swap

const begun = ({ options, defaultValue }) =>
  options ? ([...options].find((one) => one.defaultSelected) ?? options[0])?.value : defaultValue;

document.addEventListener("htmx:beforeSwap", ({ detail: { target, requestConfig } }) => {
  const sent = requestConfig?.triggeringEvent && requestConfig.elt; // of a form that was sent the server says what stands
  const fields = [...(target?.querySelectorAll(FIELDS) ?? [])].filter((field) => !sent?.contains?.(field));
  const states = fields.map((field) => {
    const { id, value, selectionStart, selectionEnd } = field;
    const focused = document.activeElement === field;
    return { id, value, selectionStart, selectionEnd, focused, typed: value !== begun(field) };
  });
  kept = { target, states: states.filter((one) => one.typed || one.focused) };
});

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (kept?.target !== detail.target) return;
  const { states } = kept;
  kept = undefined;
  for (const { id, value, selectionStart, selectionEnd, focused, typed } of states) {
    const field = document.getElementById(id);
    if (!field) continue;
    const fresh = field.value;
    if (typed) field.value = value;
    if (field.selectedIndex === -1) field.value = fresh; // it can be chosen no more
    if (!focused) continue;
    field.focus({ preventScroll: true });
    if (field.setSelectionRange) field.setSelectionRange(selectionStart, selectionEnd);
  }
});
