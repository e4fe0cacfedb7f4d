/* Fields of the operations on recordings; the rows are in rows-recordings.h. */
#pragma once

#include "api/table.h"

extern const struct api_field api_recording_path[], api_recording_filter[], api_recording_fields[],
    api_recording_list_result[], api_recording_index_query[], api_recording_index_result[],
    api_recording_stream_query[], api_recording_frame_query[], api_recording_notes_query[],
    api_recording_search_query[], api_recording_note_fields[], api_recording_notes_result[],
    api_recording_mark_body[], api_recording_export_body[], api_export_path[], api_export_fields[],
    api_rerun_body[], api_rerun_path[], api_rerun_fields[];
