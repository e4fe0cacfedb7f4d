/* One layer's library, linked whole with only the libraries below it: an undefined symbol is a call
 * to a layer above or beside. Running it proves that nothing of it runs at load time and fails. */
#include <stdio.h>

int main(void)
{
    puts(LAYER " needs nothing above it");
    return 0;
}
