// A segment that is writable and executable at once.
__asm__(".pushsection .writable_text, \"awx\", %progbits\n"
        ".quad 0\n"
        ".popsection\n");
