/* Code that calls pyautogui, as actions. A part of the dialect OSWorld (dialect/osworld.c). */
#pragma once

#include "dialect/pycall.h"
#include "dialect/write.h"

/* Adds a call per call in the code. */
int pyautogui_read(struct turn *self, const char *code, struct error *err);
