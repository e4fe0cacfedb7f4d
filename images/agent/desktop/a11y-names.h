/* Numbers of AT-SPI (atspi-constants.h, version 2.46) by name. */
#pragma once

#include <stdint.h>

/* "push button"; "unknown" for a number that is not known here. */
const char *a11y_role_name(uint32_t role);
/* "focused"; NULL for a number that is not known here. */
const char *a11y_state_name(int state);
/* -1: no such state. */
int a11y_state_number(const char *name);

/* Interfaces, as a mask. */
enum a11y_interface {
    A11Y_ACTION = 1, A11Y_COMPONENT = 2, A11Y_EDITABLE = 4, A11Y_TEXT = 8, A11Y_VALUE = 16,
    A11Y_SELECTION = 32, A11Y_APPLICATION = 64,
};
/* 0: none of these. */
unsigned a11y_interface_bit(const char *name);

/* The states that decide what is looked at. */
enum { A11Y_STATE_DEFUNCT = 6, A11Y_STATE_SHOWING = 25, A11Y_STATE_VISIBLE = 30 };
