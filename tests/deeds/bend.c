/*
 * bend: breaks an ELF file on purpose.
 *   bend FILE EDIT...
 *     keep=N              the first N bytes are left
 *     u8@O=V  u16@O=V  u32@O=V  u64@O=V
 *                         the number V at O
 *     text@O=V            the text V at O
 * O is a number, or PLACE or PLACE+number:
 *     ph:TYPE[.N]         the Nth program header of that type
 *     dyn:TAG             the value of the first dynamic entry with that tag
 *     vaddr:TAG           what that value, an address, points at
 *     needed              the name of the first library that it needs
 *     sh:NAME             the section's header
 * Numbers as strtoull(3) reads them. Only for 64-bit files of this machine's byte order.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char *file;
static size_t length;

_Noreturn static void fail(const char *what, const char *object) {
    fprintf(stderr, "bend: %s: %s\n", what, object);
    exit(1);
}

/* The value of a name, or the number that it is. */
static long named(const char *text) {
    static const struct {
        const char *name;
        long value;
    } names[] = {
        {"LOAD", PT_LOAD},         {"DYNAMIC", PT_DYNAMIC},     {"STACK", PT_GNU_STACK},
        {"RELRO", PT_GNU_RELRO},   {"NOTE", PT_NOTE},           {"NEEDED", DT_NEEDED},
        {"STRTAB", DT_STRTAB},     {"SYMTAB", DT_SYMTAB},       {"GNU_HASH", DT_GNU_HASH},
        {"INIT_ARRAY", DT_INIT_ARRAY}, {"STRSZ", DT_STRSZ},     {"SYMENT", DT_SYMENT},
        {"SONAME", DT_SONAME},     {"RELA", DT_RELA},           {"RELASZ", DT_RELASZ},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].name, text) == 0) {
            return names[i].value;
        }
    }
    return strtol(text, NULL, 0);
}

static Elf64_Phdr *program_header(long type, long nth) {
    Elf64_Ehdr *header = (Elf64_Ehdr *)file;
    Elf64_Phdr *all = (Elf64_Phdr *)(file + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        if (all[i].p_type == (Elf64_Word)type && nth-- == 0) {
            return &all[i];
        }
    }
    fail("no such program header", "ph");
}

static Elf64_Dyn *dynamic_entry(long tag) {
    Elf64_Phdr *segment = program_header(PT_DYNAMIC, 0);
    Elf64_Dyn *entry = (Elf64_Dyn *)(file + segment->p_offset);
    while (entry->d_tag != tag) {
        if (entry->d_tag == DT_NULL) {
            fail("no such dynamic entry", "dyn");
        }
        entry++;
    }
    return entry;
}

/* Where in the file an address is. */
static size_t offset_of(Elf64_Addr address) {
    for (long nth = 0;; nth++) {
        Elf64_Phdr *segment = program_header(PT_LOAD, nth);
        if (address - segment->p_vaddr < segment->p_filesz) {
            return segment->p_offset + (address - segment->p_vaddr);
        }
    }
}

static Elf64_Shdr *section_header(const char *name) {
    Elf64_Ehdr *header = (Elf64_Ehdr *)file;
    Elf64_Shdr *all = (Elf64_Shdr *)(file + header->e_shoff);
    const char *names = (const char *)file + all[header->e_shstrndx].sh_offset;
    for (int i = 0; i < header->e_shnum; i++) {
        if (strcmp(names + all[i].sh_name, name) == 0) {
            return &all[i];
        }
    }
    fail("no such section", name);
}

static size_t offset_in_file(const void *at) {
    return (size_t)((const unsigned char *)at - file);
}

static size_t place(char *text) {
    size_t more = 0;
    char *plus = strchr(text, '+');
    if (plus != NULL) {
        *plus = '\0';
        more = strtoull(plus + 1, NULL, 0);
    }
    if (strncmp(text, "ph:", 3) == 0) {
        char *dot = strchr(text, '.');
        long nth = dot ? strtol(dot + 1, NULL, 0) : 0;
        if (dot) {
            *dot = '\0';
        }
        return offset_in_file(program_header(named(text + 3), nth)) + more;
    }
    if (strncmp(text, "dyn:", 4) == 0) {
        return offset_in_file(&dynamic_entry(named(text + 4))->d_un) + more;
    }
    if (strncmp(text, "vaddr:", 6) == 0) {
        return offset_of(dynamic_entry(named(text + 6))->d_un.d_ptr) + more;
    }
    if (strcmp(text, "needed") == 0) {
        return offset_of(dynamic_entry(DT_STRTAB)->d_un.d_ptr) +
               dynamic_entry(DT_NEEDED)->d_un.d_val + more;
    }
    if (strncmp(text, "sh:", 3) == 0) {
        return offset_in_file(section_header(text + 3)) + more;
    }
    return strtoull(text, NULL, 0) + more;
}

static void edit(char *text) {
    char *equals = strchr(text, '=');
    unsigned long long value;
    if (equals == NULL) {
        fail("no edit", text);
    }
    *equals = '\0';
    value = strtoull(equals + 1, NULL, 0);
    if (strcmp(text, "keep") == 0) {
        length = value;
    } else if (strncmp(text, "text@", 5) == 0) {
        size_t at = place(text + 5);
        if (at > length || length - at < strlen(equals + 1)) {
            fail("beyond the file", text);
        }
        memcpy(file + at, equals + 1, strlen(equals + 1));
    } else if (*text == 'u' && strchr(text, '@') != NULL) {
        size_t size = strtoul(text + 1, NULL, 10) / 8;
        size_t at = place(strchr(text, '@') + 1);
        if (size == 0 || size > sizeof value || at > length || length - at < size) {
            fail("beyond the file", text);
        }
        memcpy(file + at, &value, size);
    } else {
        fail("no edit", text);
    }
}

int main(int count, char **arguments) {
    FILE *stream = count > 1 ? fopen(arguments[1], "r+b") : NULL;
    if (stream == NULL || fseek(stream, 0, SEEK_END) != 0) {
        fail("cannot open", count > 1 ? arguments[1] : "no file");
    }
    length = (size_t)ftell(stream);
    rewind(stream);
    file = malloc(length);
    if (file == NULL || fread(file, 1, length, stream) != length || length < sizeof(Elf64_Ehdr)) {
        fail("cannot read", arguments[1]);
    }
    for (int i = 2; i < count; i++) {
        edit(arguments[i]);
    }
    rewind(stream);
    if (fwrite(file, 1, length, stream) != length || fflush(stream) != 0 ||
        ftruncate(fileno(stream), (off_t)length) != 0) {
        fail("cannot write", arguments[1]);
    }
    return 0;
}
