// Physical keys: KeyboardEvent.code -> evdev code (linux/input-event-codes.h). Independent of any layout.

const rows = {
  1: "Escape", 2: "Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal Backspace Tab",
  16: "KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter ControlLeft",
  30: "KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote ShiftLeft Backslash",
  44: "KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash ShiftRight NumpadMultiply AltLeft Space CapsLock",
  59: "F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock Numpad7 Numpad8 Numpad9 NumpadSubtract Numpad4 Numpad5 Numpad6 " +
    "NumpadAdd Numpad1 Numpad2 Numpad3 Numpad0 NumpadDecimal",
  85: "Lang5 IntlBackslash F11 F12 IntlRo Lang3 Lang4 Convert KanaMode NonConvert - NumpadEnter ControlRight NumpadDivide " +
    "PrintScreen AltRight - Home ArrowUp PageUp ArrowLeft ArrowRight End ArrowDown PageDown Insert Delete - AudioVolumeMute " +
    "AudioVolumeDown AudioVolumeUp - NumpadEqual - Pause - NumpadComma Lang1 Lang2 IntlYen MetaLeft MetaRight ContextMenu",
};

/** @type {Map<string, number>} */
export const evdevCodes = new Map();
for (const [first, names] of Object.entries(rows))
  names.split(" ").forEach((name, i) => name !== "-" && evdevCodes.set(name, Number(first) + i));
evdevCodes.set("OSLeft", 125).set("OSRight", 126);
