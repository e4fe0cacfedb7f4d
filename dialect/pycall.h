/* Calls as Python writes them, read and never executed: name(arg, …, key=arg) with literals only.
 *
 * Models answer with lines such as pyautogui.click(100, 200) or click(point='…'). A call becomes
 * {"name": "pyautogui.click", "args": […], "kwargs": {…}}; strings, numbers, True, False, None, lists,
 * tuples, and a dotted name as a value (pyautogui.LEFT becomes "left"). Statements are separated by line
 * ends, blank lines or ';'. Comments, code fences, imports and assignments to a setting
 * (pyautogui.PAUSE = 1) are passed over; anything else is an error that names the line. */
#pragma once

#include "base/json.h"

enum { PYCALL_MAX = 100, PYCALL_DEPTH_MAX = 8 };

/* All calls in order, at most PYCALL_MAX; the caller owns *ret. Errors: bad_value, too_large. */
int pycall_parse(const char *text, json_t **ret, struct error *err);
/* The value of a call's argument by name, or by place (-1: none). NULL when absent or None. Borrowed. */
const json_t *pycall_arg(const json_t *call, int place, const char *name);
