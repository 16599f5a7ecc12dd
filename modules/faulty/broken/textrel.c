// An absolute address inside the text: the loader must write there (DT_TEXTREL).
__asm__(".pushsection .text\n"
        ".balign 8\n"
        ".quad grayling_module_entry\n"
        ".popsection\n");
