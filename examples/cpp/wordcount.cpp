// wordcount: counts the words of a text, in C++17.
//
// What C++ adds to the C ABI: state behind the instance pointer, and a firewall that keeps
// exceptions from leaving a function of the table.

#include <cctype>
#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cordon_plugin.h"

CORDON_MANIFEST("id = \"wordcount\"\n"
                "version = \"1.0.0\"\n"
                "abi = \"1.0\"\n"
                "author = \"The Cordon project\"\n"
                "description = \"Counts the words of texts\"\n"
                "methods = [\"count\", \"total\"]\n"
                "[limits]\n"
                "heap = \"20MB\"\n"
                "cpu = \"500ms\"\n"
                "threads = 1\n");

namespace {

constexpr std::size_t kLongestText = 1024 * 1024;

class WordCount {
public:
    // One line per word, "word count", in alphabetical order.
    std::string count(std::string_view text) {
        if (text.size() > kLongestText) {
            throw std::length_error("a text has at most 1 MiB");
        }
        std::map<std::string, std::size_t> words;
        std::string word;
        for (const char c : text) {
            // Bytes above ASCII count as letters: UTF-8 words stay whole.
            const auto byte = static_cast<unsigned char>(c);
            if (std::isalnum(byte) != 0 || byte >= 0x80) {
                word += static_cast<char>(std::tolower(byte));
            } else {
                add(words, word);
            }
        }
        add(words, word);
        std::string lines;
        for (const auto &[key, times] : words) {
            lines += key + ' ' + std::to_string(times) + '\n';
        }
        return lines;
    }

    // Words counted since the plugin was loaded.
    std::string total() const { return std::to_string(total_); }

private:
    void add(std::map<std::string, std::size_t> &words, std::string &word) {
        if (!word.empty()) {
            ++words[word];
            ++total_;
            word.clear();
        }
    }

    std::size_t total_ = 0;
};

// Runs `body`; an exception becomes a status, its text goes to the sink.
template <typename Body> cordon_status guarded(cordon_sink *sink, Body body) noexcept {
    try {
        return body();
    } catch (const std::length_error &error) {
        return cordon_fail(sink, CORDON_TOO_LARGE, error.what());
    } catch (const std::exception &error) {
        return cordon_fail(sink, CORDON_PANIC, error.what());
    } catch (...) {
        return cordon_fail(sink, CORDON_PANIC, "unknown exception");
    }
}

cordon_status create(const cordon_context *, cordon_bytes, void **instance, cordon_sink *error) {
    return guarded(error, [&] {
        *instance = std::make_unique<WordCount>().release();
        return CORDON_OK;
    });
}

cordon_status call(void *instance, const cordon_context *, cordon_bytes method,
                   cordon_bytes payload, cordon_sink *reply) {
    return guarded(reply, [&] {
        auto &words = *static_cast<WordCount *>(instance);
        std::string result;
        if (cordon_equals(method, "count")) {
            result = words.count({reinterpret_cast<const char *>(payload.data), payload.len});
        } else if (cordon_equals(method, "total")) {
            result = words.total();
        } else {
            return static_cast<cordon_status>(CORDON_NO_METHOD);
        }
        return cordon_reply(reply, result.data(), result.size());
    });
}

void destroy(void *instance) { delete static_cast<WordCount *>(instance); }

constexpr cordon_plugin make_plugin() {
    cordon_plugin plugin{};
    plugin.size = sizeof(cordon_plugin);
    plugin.abi = CORDON_ABI_VERSION;
    plugin.create = create;
    plugin.call = call;
    plugin.destroy = destroy;
    return plugin;
}

constexpr cordon_plugin plugin = make_plugin();

} // namespace

const cordon_plugin *cordon_plugin_entry(uint32_t host_abi) {
    return host_abi >> 16 == CORDON_ABI_MAJOR ? &plugin : nullptr;
}
