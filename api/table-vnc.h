/* Fields of the VNC operations; the rows are in rows-vnc.h. */
#pragma once

#include "api/table.h"

extern const struct api_field api_vnc_query[], api_vnc_body[], api_vnc_opened[], api_vnc_result[];
