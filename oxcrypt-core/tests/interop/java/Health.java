import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import org.cryptomator.cryptofs.VaultConfig;
import org.cryptomator.cryptofs.health.api.DiagnosticResult;
import org.cryptomator.cryptofs.health.api.HealthCheck;
import org.cryptomator.cryptolib.api.CryptorProvider;

import java.io.IOException;
import java.nio.file.Files;
import java.security.SecureRandom;

/** What the official health checks find, all of them. */
final class Health {
    private final JsonArray findings = new JsonArray();
    private int good;

    private Health() {
    }

    /** {"good": how many results said so, "findings": [{"severity", "check", "finding"}]}. */
    static JsonElement findings(Access access) throws IOException {
        var health = new Health();
        var token = Files.readString(access.vault.resolve("vault.cryptomator"));
        try (var key = access.key()) {
            var raw = key.getEncoded();
            var config = VaultConfig.decode(token).verify(raw, 8);
            try (var cryptor = CryptorProvider.forScheme(config.getCipherCombo())
                    .provide(key.copy(), new SecureRandom())) {
                for (var check : HealthCheck.allChecks()) {
                    check.check(access.vault, config, key, cryptor, result -> health.add(check, result));
                }
            }
        }
        var answer = new JsonObject();
        answer.addProperty("good", health.good);
        answer.add("findings", health.findings);
        return answer;
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
