/* What the rows of api/table-daytona.h take. */
#pragma once

#include "api/table.h"

#define api_daytona_none NULL
extern const struct api_field api_daytona_sandbox[], api_daytona_port[], api_daytona_process[],
    api_daytona_recording[];
extern const struct api_field api_daytona_list[], api_daytona_shot[], api_daytona_shot_region[],
    api_daytona_shot_small[], api_daytona_shot_region_small[];
extern const struct api_field api_daytona_create[], api_daytona_move[], api_daytona_click[],
    api_daytona_drag[], api_daytona_scroll[], api_daytona_type[], api_daytona_key[],
    api_daytona_hotkey[], api_daytona_record[], api_daytona_record_stop[], api_daytona_execute[], api_daytona_labels[],
    api_daytona_file[], api_daytona_file_list[], api_daytona_file_delete[], api_daytona_folder[],
    api_daytona_file_move[], api_daytona_permissions[], api_daytona_download[];
