/* Linked statically. uncovered: waits for ever. uncovered clean: becomes sleep, with no environment. */
#include <unistd.h>

#ifdef GO
__asm__(".pushsection .note.go.buildid, \"a\", @note\n.long 4, 4, 4\n.asciz \"Go\"\n.byte 0\n.long 0\n.popsection");
#endif

int main(int argc, char **argv)
{
    char *const sleep[] = {"sleep", "1000", 0}, *const none[] = {0};
    (void)argv;
    if (argc > 1)
        return execve("/bin/sleep", sleep, none);
    return pause();
}
