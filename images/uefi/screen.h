/* The graphics output: its modes, and painting into its frame buffer by hand. Pixels; everything is clipped. */
#pragma once

#include <efi.h>

extern INTN screen_width, screen_height;

/* FALSE when there is none with 32 bits per pixel. */
BOOLEAN screen_init(void);
/* FALSE when the firmware has no such mode. The new one shows the pattern. */
BOOLEAN screen_set_mode(INTN width, INTN height);
/* Reports "modes":[[w,h],…]. */
void screen_report_modes(void);
/* The pattern everywhere. */
void screen_clear(void);
void screen_fill(INTN x, INTN y, INTN w, INTN h, UINT32 color);
/* A white cross of 15 pixels with a black middle, part of the picture; gone from where it was before. */
void screen_show_cursor(INTN x, INTN y);
void screen_hide_cursor(void);
