import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import org.cryptomator.cryptofs.VaultConfig;
import org.cryptomator.cryptofs.health.api.DiagnosticResult;
import org.cryptomator.cryptofs.health.api.HealthCheck;
import org.cryptomator.cryptolib.api.CryptorProvider;

import java.io.IOException;
import java.nio.file.Files;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;

/** What the official health checks find, all of them, and can repair. */
final class Health {
    private final JsonArray findings = new JsonArray();
    private int good;
    private final List<DiagnosticResult.Fix> fixes = new ArrayList<>();

    private Health() {
    }

    /** {"good": how many results said so, "findings": [{"severity", "check", "finding"}]}. */
    static JsonElement findings(Access access) throws IOException {
        var health = new Health();
        health.check(access, false);
        var answer = new JsonObject();
        answer.addProperty("good", health.good);
        answer.add("findings", health.findings);
        return answer;
    }

    /** How much of that was repaired: whatever offers a repair. */
    static JsonElement repair(Access access) throws IOException {
        var health = new Health();
        health.check(access, true);
        return new JsonPrimitive(health.fixes.size());
    }

    private void check(Access access, boolean repairs) throws IOException {
        var token = Files.readString(access.vault.resolve("vault.cryptomator"));
        try (var key = access.key()) {
            var raw = key.getEncoded();
            var config = VaultConfig.decode(token).verify(raw, 8);
            try (var cryptor = CryptorProvider.forScheme(config.getCipherCombo())
                    .provide(key.copy(), new SecureRandom())) {
                for (var check : HealthCheck.allChecks()) {
                    check.check(access.vault, config, key, cryptor, result -> {
                        add(check, result);
                        result.getFix(access.vault, config, key, cryptor).ifPresent(fixes::add);
                    });
                }
                if (repairs) {
                    for (var fix : fixes) {
                        fix.apply();
                    }
                }
            }
        }
    }

    private void add(HealthCheck check, DiagnosticResult result) {
        if (result.getSeverity() == DiagnosticResult.Severity.GOOD) {
            good += 1;
            return;
        }
        var finding = new JsonObject();
        finding.addProperty("severity", result.getSeverity().toString());
        finding.addProperty("check", check.name());
        finding.addProperty("finding", result.toString());
        findings.add(finding);
    }
}
