/* Fields of the operations that the guest's own desktop answers; the rows are in rows-desktop.h. */
#pragma once

#include "api/table.h"

extern const struct api_field api_clipboard_query[], api_clipboard_body[], api_clipboard_result[];
extern const struct api_field api_window_path[], api_window_wait[], api_window_place[],
    api_window_state[];
extern const struct api_field api_window_result[], api_windows_result[];
extern const struct api_field api_launch_body[], api_open_body[], api_launch_result[];
extern const struct api_field api_tree_query[], api_find_body[], api_tree_result[], api_find_result[];
extern const struct api_field api_node_path[], api_invoke_body[], api_value_body[], api_node_result[];
extern const struct api_field api_keyboard_body[], api_keyboard_result[];
